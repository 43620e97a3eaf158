# The page in a container, as a user without rights:
#   docker build -t translate . && docker run --read-only --tmpfs /tmp --tmpfs /home/page/.cache -p 7860:7860 translate
# Your own models: -v "$PWD/runs:/home/page/translate/runs"; with --train at the end visitors may train more there.
# For CUDA: docker build --build-arg TORCH=https://download.pytorch.org/whl/cu126 ... and docker run --gpus all ...
# On a Hugging Face Space (README.md's first lines say how it starts): hf upload USER/translate . --repo-type space
FROM python:3.12-slim
ARG TORCH=https://download.pytorch.org/whl/cpu
RUN useradd --create-home page
WORKDIR /home/page/translate
COPY pyproject.toml README.md ./
RUN pip install --no-cache-dir --index-url ${TORCH} torch torchvision && pip install --no-cache-dir ".[video]"
COPY --chown=page . .
RUN mkdir -p runs && chown page runs
USER page
VOLUME /home/page/translate/runs
EXPOSE 7860
HEALTHCHECK --start-period=2m CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/gradio_api/app_id', timeout=9)"]
ENV GRADIO_ANALYTICS_ENABLED=False
# Arguments of `docker run` go to app.py: --auth user:password, and --train where visitors may train models.
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", "--no-train"]
