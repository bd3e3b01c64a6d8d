# docker build -t chatglm-server .
# docker run -e CHATGLM_API_KEY=SECRET -p 127.0.0.1:8000:8000 -v chatglm-models:/models chatglm-server --model glm-4-9b-0414
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++
WORKDIR /source
COPY pyproject.toml CMakeLists.txt README.md LICENSE ./
COPY chatglm_server chatglm_server
COPY models models
RUN python -m venv /opt/chatglm-server && /opt/chatglm-server/bin/pip install --no-cache-dir .

FROM python:3.12-slim
# /models is where models are fetched to, and where prefixes of prompts are kept.
RUN useradd --create-home chatglm && install -d -o chatglm -g chatglm /models
COPY --from=build /opt/chatglm-server /opt/chatglm-server
ENV PATH=/opt/chatglm-server/bin:$PATH CHATGLM_HOST=0.0.0.0 XDG_CACHE_HOME=/models HF_HOME=/models/huggingface
USER chatglm
WORKDIR /home/chatglm
VOLUME /models
EXPOSE 8000
HEALTHCHECK --start-period=10m --start-interval=2s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
ENTRYPOINT ["chatglm-server"]
