// Pictures of a photo and its cut-out on a canvas: cut-out, mask, overlay.

export const SHOWN = 1400; // longest side in pixels of what the page shows

// The size at which a picture is shown, or its own where `longest` is left out.
export function sizeOf({width, height}, longest = Infinity) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

// Draws `view` of a cut-out (an ImageBitmap) on a canvas of the size that it has.
export function draw(canvas, view, cutout, photo, background) {
  const context = canvas.getContext("2d");
  const {width, height} = canvas;
  context.globalCompositeOperation = "source-over";
  context.clearRect(0, 0, width, height);
  if (view === "mask") {
    context.drawImage(shape(cutout, width, height, "#fff"), 0, 0);
    fillBehind(context, "#000");
  } else if (view === "overlay" && photo) {
    context.drawImage(photo, 0, 0, width, height);
    context.globalAlpha = 0.55;
    context.drawImage(shape(cutout, width, height, "#e4178f"), 0, 0);
    context.globalAlpha = 1;
  } else {
    context.drawImage(cutout, 0, 0, width, height);
    layBehind(context, background);
  }
}

// The cut-out's alpha in one colour.
function shape(cutout, width, height, colour) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.drawImage(cutout, 0, 0, width, height);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = colour;
  context.fillRect(0, 0, width, height);
  return canvas;
}

function layBehind(context, background) {
  if (background.kind === "colour") fillBehind(context, background.colour);
  if (background.kind === "picture" && background.picture) coverBehind(context, background.picture);
}

function fillBehind(context, colour) {
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = colour;
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

// The middle of a picture at the smallest size that covers the canvas.
function coverBehind(context, picture) {
  const {width, height} = context.canvas;
  const scale = Math.max(width / picture.width, height / picture.height);
  const [across, down] = [width / scale, height / scale];
  context.globalCompositeOperation = "destination-over";
  context.drawImage(
    picture, (picture.width - across) / 2, (picture.height - down) / 2, across, down,
    0, 0, width, height);
}
