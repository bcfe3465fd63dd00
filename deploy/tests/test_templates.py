"""What holds for every template."""

import subprocess
import sys
from pathlib import Path

from deploy.template import Assembly


def test_cfn_lint_finds_nothing(cdk_out: Path) -> None:
    lint = Path(sys.executable).parent / "cfn-lint"
    templates = sorted(map(str, cdk_out.glob("*.template.json")))
    found = subprocess.run(
        [lint, "--regions", "eu-west-1", "--", *templates], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_stacks_need_nothing_of_each_other_but_keys_and_network(assembly: Assembly) -> None:
    """So that none of them waits for another, and none keeps another from changing."""
    exporting = {stack for stack, template in assembly.stacks.items() if "Outputs" in template}
    assert exporting <= {"adplatform-keys", "adplatform-network"}
