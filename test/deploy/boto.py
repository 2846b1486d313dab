"""Calls AWS APIs that have no client among the dev dependencies: one JSON line in, one JSON line out. boto3 comes with the emulators."""
import json
import sys

import boto3

ENDPOINT = sys.argv[1]
clients = {}

for line in sys.stdin:
    call = json.loads(line)
    key = (call['service'], call['region'])
    try:
        if key not in clients:
            clients[key] = boto3.client(
                call['service'], region_name=call['region'], endpoint_url=ENDPOINT, aws_access_key_id='test', aws_secret_access_key='test',
            )
        answer = {'answer': getattr(clients[key], call['operation'])(**call['parameters'])}
    except Exception as error:
        answer = {'error': f"{call['service']}.{call['operation']}: {error}"}
    print(json.dumps(answer, default=str), flush=True)
