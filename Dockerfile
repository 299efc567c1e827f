# docker build -t textok .
# docker run --rm -v "$PWD:/work" textok generate "red women handbag"
# docker run --rm -p 7860:7860 textok demo --host 0.0.0.0 --allowed-hosts localhost
#
# The usual index has torch with its CUDA libraries, several GB: `docker run --gpus all` needs nothing more. For a
# CPU, `--build-arg TORCH_INDEX=...` names the index of CPU builds that pytorch.org's page of installation shows.
FROM python:3.12-slim
ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY textok textok
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch \
    && pip install -c constraints.txt '.[offline,train,eval,data,demo]' \
    && rm -rf /src

RUN useradd --create-home --uid 1000 textok
USER 1000
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["textok"]
CMD ["--help"]
