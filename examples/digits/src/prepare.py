"""Splits data/digits.csv into prepared/train.csv and prepared/test.csv."""

import os
import random

import params


def main():
    options = params.load()["prepare"]
    with open("data/digits.csv", encoding="ascii") as file:
        rows = file.read().splitlines()

    generator = random.Random(options["seed"])
    rows.sort(key=lambda row: generator.random())
    n_test = round(len(rows) * options["test_share"])

    write("prepared/test.csv", rows[:n_test])
    write("prepared/train.csv", rows[n_test:])
    print(f"{len(rows) - n_test} rows to learn from, {n_test} to be tested on")


def write(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.writelines(row + "\n" for row in rows)


if __name__ == "__main__":
    main()
