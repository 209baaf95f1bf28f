// The server's side: one photo at a time to /api/remove, again when it says that it is busy.

const PATIENCE = 20; // times that a busy server is asked again

export async function limits() {
  const answer = await fetch("/health");
  return answer.json();
}

// Cuts one photo. Resolves to {blob, confidence}; rejects with an Error whose message is for people.
export async function cut(file, {edges, quality}, signal) {
  for (let attempt = 0; ; attempt++) {
    const form = new FormData();
    form.append("edges", edges);
    form.append("quality", quality);
    form.append("file", file, file.name || "photo");
    let answer;
    try {
      answer = await fetch("/api/remove", {method: "POST", body: form, signal});
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Error("The server does not answer.");
    }
    if (answer.ok) {
      return {blob: await answer.blob(), confidence: Number(answer.headers.get("X-Confidence"))};
    }
    const wait = Number(answer.headers.get("Retry-After"));
    if (wait > 0 && attempt < PATIENCE) {
      await pause(wait * 1000, signal);
      continue;
    }
    throw new Error(await complaint(answer));
  }
}

async function complaint(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `The server answers with status ${answer.status}.`;
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, {once: true});
  });
}
