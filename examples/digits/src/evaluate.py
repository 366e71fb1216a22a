"""Tests model.json on prepared/test.csv; writes metrics.json and plots/confusion.csv."""

import json
import math
import os

from network import Network, read_rows


def main():
    with open("model.json", encoding="ascii") as file:
        network = Network(**json.load(file))
    rows = read_rows("prepared/test.csv")

    total = 0.0
    pairs = []
    for picture, digit in rows:
        _, chances = network.forward(picture)
        total -= math.log(max(chances[digit], 1e-12))
        pairs.append((digit, chances.index(max(chances))))
    n_right = [digit == predicted for digit, predicted in pairs].count(True)

    metrics = {
        "accuracy": round(n_right / len(rows), 6),
        "loss": round(total / len(rows), 6),
        "errors": len(rows) - n_right,
    }
    with open("metrics.json", "w", encoding="ascii", newline="\n") as file:
        json.dump(metrics, file, indent=2)
        file.write("\n")

    os.makedirs("plots", exist_ok=True)
    with open("plots/confusion.csv", "w", encoding="ascii", newline="\n") as file:
        file.write("digit,predicted\n")
        file.writelines(f"{digit},{predicted}\n" for digit, predicted in pairs)
    print(f"accuracy {metrics['accuracy']:.4f}, loss {metrics['loss']:.4f}")


if __name__ == "__main__":
    main()
