"""Load for any Penstock service: single rows and batches, made of the examples that its documentation gives.

    locust --host http://127.0.0.1:8000
    locust --host http://127.0.0.1:8000 --headless --users 50 --spawn-rate 10 --run-time 1m --batch-rows 100

A user asks ten times a second, as long as the answers come fast enough; nine times of ten for a single row.
"""

import random
from functools import cache
from itertools import cycle, islice
from typing import Any

import requests
from locust import FastHttpUser, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser


def add_arguments(parser: LocustArgumentParser) -> None:
    parser.add_argument("--batch-rows", type=int, default=32, help="rows in a batch [32]")


events.init_command_line_parser.add_listener(add_arguments)


@cache
def examples(host: str, ending: str) -> list[tuple[str, Any]]:
    """Every path of the service with this ending, with each body that its documentation gives as an example."""
    answer = requests.get(f"{host}/openapi.json", timeout=10)
    answer.raise_for_status()
    bodies = {
        path: operations["post"]["requestBody"]["content"]["application/json"]["examples"]
        for path, operations in answer.json()["paths"].items()
        if path.endswith(ending)
    }
    return [(path, example["value"]) for path, given in bodies.items() for example in given.values()]


class Client(FastHttpUser):
    """Asks all models of the service alike."""

    wait_time = constant_throughput(10)

    @task(9)
    def single(self) -> None:
        path, body = random.choice(examples(self.host, "/predict"))
        self.ask(path, body, "prediction", None)

    @task(1)
    def batch(self) -> None:
        path, body = random.choice(examples(self.host, "/predict-batch"))
        rows = self.environment.parsed_options.batch_rows
        self.ask(path, {"batch": list(islice(cycle(body["batch"]), rows))}, "predictions", rows)

    def ask(self, path: str, body: Any, key: str, rows: int | None) -> None:
        """One request, which fails unless there is an answer for every row."""
        with self.client.post(path, json=body, catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"{answer.status_code} {answer.text}")
            elif rows is not None and len(answer.json()[key]) != rows:
                answer.failure(f"{len(answer.json()[key])} answers for {rows} rows")
