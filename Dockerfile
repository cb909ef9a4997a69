# Web and workers are one image: docker compose build   (TORCH=cuda for machines with a GPU)
FROM python:3.11-slim-trixie

ARG TORCH=cpu
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# torch first: the package index serves the CUDA build for Linux; PyTorch's own has the small one, whose +cpu sorts higher.
COPY pyproject.toml constraints.txt README.md ./
RUN if [ "$TORCH" = cpu ]; then pip install -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu torch; \
    else pip install -c constraints.txt torch; fi \
 && pip install -c constraints.txt '.[ml]'

COPY . .
RUN useradd --system --uid 10001 --home-dir /var/lib/concord concord \
 && install -d -o concord -g concord /var/lib/concord
USER concord
ENV CONCORD_HOME=/var/lib/concord DJANGO_SETTINGS_MODULE=config.settings
VOLUME /var/lib/concord
EXPOSE 8000

HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "-m", "gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--timeout", "120", "--worker-tmp-dir", "/dev/shm", "config.wsgi:application"]
