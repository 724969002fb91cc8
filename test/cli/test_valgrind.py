"""The life of an instance under valgrind: no invalid access, nothing lost."""
import shutil

import pytest

from conftest import BIN, QUICK

VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect"]
CLUSTER = """\
clusters:
  neco-ops: {path: argocd-config, kubeconfig: kube.yaml}
"""
SANITIZED = b"__asan_init" in (BIN / "necoops-create").read_bytes()


@pytest.mark.skipif(not shutil.which("valgrind") or SANITIZED, reason="no valgrind, or sanitized")
def test_clean(start_emulator, folder):
    (folder / "bad.sh").write_text("#!/bin/sh\nexit 1\n")
    with open(folder / "necoops.yaml", "a") as config:
        config.write(CLUSTER)
    emulator = start_emulator(
        "--run-startup-scripts", timings=QUICK,
        seed={"clusters": {"neco-ops": {"kubeconfig": str(folder / "kube.yaml"), "nodes": 2,
                                        "argocd": "v2.14.21"}}},
        faults=["operation=insert,zone=asia-northeast1-c,error=ZONE_RESOURCE_POOL_EXHAUSTED",
                "method=POST,path=*/instances,n=2,status=503,retry-after=0"])
    for status, argv in [
            (1, ["necoops-create", "--set", "instance.setup=bad.sh", "--evidence", "out"]),
            (0, ["necoops-create", "--follow"]),
            (0, ["necoops-create", "-o", "json"]),
            (2, ["necoops-create", "--set", "instance.name=X"]),
            (0, ["necoops-status"]),
            (0, ["necoops-status", "--doctor"]),
            (0, ["necoops-delete", "--extend", "1h"]),
            (1, ["necoops-delete", "--audit"]),
            (0, ["necoops-delete", "--expired", "--yes"]),
            (0, ["necoops-delete", "--yes", "--evidence", "out"]),
            (3, ["necoops-status"])]:
        result = emulator.run(*VALGRIND, BIN / argv[0], *argv[1:], timeout=300)
        assert result.status == status, result
        assert "==" not in result.err, result
