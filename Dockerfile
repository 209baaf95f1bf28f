# The server, without a GPU. It was never built where this repository is tested.
#
#     docker build -t latent-saliency .
#     docker run --rm -p 7000:7000 --read-only --tmpfs /tmp latent-saliency
FROM python:3.12-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
# the wheel for CPUs alone: the default one brings gigabytes for GPUs
RUN pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY . /src
RUN pip install "/src[serve]" && rm -rf /src

RUN useradd --system --no-create-home --shell /usr/sbin/nologin saliency
USER saliency
WORKDIR /tmp
EXPOSE 7000
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7000/health')"]
# "docker stop" kills after ten seconds; with -t 60 every accepted request is finished
ENTRYPOINT ["saliency", "serve", "--host", "0.0.0.0", "--port", "7000"]
