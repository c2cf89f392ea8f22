# seqff on the CPU: docker build -t seqff .  (docs/machines.md says how to use it)
FROM python:3.12-slim-bookworm

# What OpenCV's wheel takes from the system.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*

# PyPI's torch brings CUDA along, some GB. An index of wheels for the CPU saves them: --build-arg TORCH_INDEX=ADDRESS
ARG TORCH_INDEX=
RUN test -z "$TORCH_INDEX" || pip install --no-cache-dir --index-url "$TORCH_INDEX" torch torchvision

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY seqff seqff
RUN pip install --no-cache-dir . && rm -rf build

# Nobody in particular; with --user "$(id -u):$(id -g)" what is written is yours. Such a user has no home, so /tmp is it.
RUN useradd --uid 1000 seqff
ENV HOME=/tmp
USER seqff
WORKDIR /work
ENTRYPOINT ["seqff"]
CMD ["--help"]
