"""Asks a runtime what wearers do, by their names alone; run inside a site's network.

Prints a JSON object by wearer: the answer's status, its scores, and the id of the prediction.
"""

import json
import sys

import urllib3


def main(url: str, wearers: list[str]) -> None:
    """One request a wearer."""
    pool = urllib3.PoolManager(retries=False)
    told = {}
    for wearer in wearers:
        response = pool.request("POST", url, json={"inputs": [], "parameters": {"entity": wearer}}, timeout=10)
        answer = response.json()
        scores = answer["outputs"][0]["data"] if response.status == 200 else []
        prediction = answer.get("parameters", {}).get("prediction_id", "")
        told[wearer] = {"status": response.status, "scores": scores, "prediction": prediction}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
