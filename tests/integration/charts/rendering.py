"""The smallest values with which the charts render, as arguments of Helm."""

from pathlib import Path

CHARTS = Path(__file__).parents[3] / "charts"
TRUST = ("--set=trust.trustedRoot=ROOT", "--set=trust.policyPublicKey=PEM", "--set=trust.hubPublicKey=PEM")
HUB = (*TRUST, "--set=store.endpoint=http://s3.example.test:9000")
SITE = (*TRUST, "--set=site.name=site-a", "--set=hub.url=https://hub.example.test:6443", "--set=hub.ca=PEM")
