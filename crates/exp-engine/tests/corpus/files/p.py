GAMMA = 0.75
WORDS = ["a", "b"]
class Net:
    width = 64
