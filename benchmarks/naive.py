"""The usual hand-written model server, for comparison.

One file, as most people write it: FastAPI, asynchronous endpoints, pydantic models in and out, the unpickled model
called inline, and a structured log line for each request.

    MODEL=iris.pkl LOG_FILE=naive.log uvicorn naive:app
"""

import os
import pickle
import time
from pathlib import Path

import numpy as np
import structlog
from fastapi import FastAPI
from pydantic import BaseModel

lines = open(os.environ["LOG_FILE"], "a", encoding="utf-8")  # noqa: SIM115 -- open as long as the server runs
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(),
    ],
    logger_factory=structlog.WriteLoggerFactory(file=lines),
    cache_logger_on_first_use=True,
)
log = structlog.get_logger()
model = pickle.loads(Path(os.environ["MODEL"]).read_bytes())
app = FastAPI(title="naive")


class PredictionRequest(BaseModel):
    features: list[float]


class PredictionResponse(BaseModel):
    prediction: int
    confidence: float
    latency_ms: float


class BatchRequest(BaseModel):
    batch: list[list[float]]


class BatchResponse(BaseModel):
    predictions: list[int]
    confidences: list[float]
    latency_ms: float


@app.post("/predict")
async def predict(request: PredictionRequest) -> PredictionResponse:
    start = time.perf_counter()
    x = np.array([request.features])
    prediction = int(model.predict(x)[0])
    confidence = float(model.predict_proba(x)[0].max())
    latency_ms = (time.perf_counter() - start) * 1000
    log.info("prediction", prediction=prediction, confidence=confidence, latency_ms=latency_ms)
    return PredictionResponse(prediction=prediction, confidence=confidence, latency_ms=latency_ms)


@app.post("/predict-batch")
async def predict_batch(request: BatchRequest) -> BatchResponse:
    start = time.perf_counter()
    x = np.array(request.batch)
    predictions = model.predict(x).tolist()
    confidences = model.predict_proba(x).max(axis=1).tolist()
    latency_ms = (time.perf_counter() - start) * 1000
    log.info("batch_prediction", rows=len(x), latency_ms=latency_ms)
    return BatchResponse(predictions=predictions, confidences=confidences, latency_ms=latency_ms)
