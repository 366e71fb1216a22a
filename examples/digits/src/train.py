"""Learns from prepared/train.csv; writes model.json and, epoch by epoch, plots/loss.csv."""

import json
import os
import random

import params
from network import Network, read_rows


def main():
    options = params.load()["train"]
    rows = read_rows("prepared/train.csv")
    network = Network.random(options["hidden"], options["seed"])
    generator = random.Random(options["seed"])
    rate = options["learning_rate"]

    os.makedirs("plots", exist_ok=True)
    with open("plots/loss.csv", "w", encoding="ascii", newline="\n") as file:
        file.write("epoch,learning_rate,loss\n")
        for epoch in range(1, options["epochs"] + 1):
            rows.sort(key=lambda row: generator.random())
            total = 0.0
            for picture, digit in rows:
                total += network.learn(picture, digit, rate)
            loss = total / len(rows)
            file.write(f"{epoch},{rate:.6g},{loss:.6f}\n")
            file.flush()
            print(f"epoch {epoch}: loss {loss:.6f}", flush=True)
            rate *= options["decay"]

    with open("model.json", "w", encoding="ascii", newline="\n") as file:
        json.dump(vars(network), file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
