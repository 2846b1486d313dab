"""A client that is asked line by line: a JSON object in, a JSON object out."""
import json
import sys


def serve(answer):
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
