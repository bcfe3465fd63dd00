# Two commands do everything: `make demo` and `make test`. Needs git, Python 3.11+, make and gpg.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(VENV)/.local
STAMP := $(VENV)/.locked
export DAGSTER_HOME ?= $(CURDIR)/.adplatform/dagster
# Without bytecode each command, and each process of a test, compiles a thousand files anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo spark-demo dev test slow spark35 dbt dlt odcs check readme-tables synth cost deploy-check record-calls format lock local \
  setup clean

demo: local
	$(BIN)/adplatform demo

# Needs Java 17 and, for the job's package, Python 3.11.
spark-demo: setup
	$(BIN)/adplatform spark-demo

dev: local
	$(BIN)/adplatform dev

test: setup
	$(BIN)/pytest -n auto -m "not slow"

# Hours; `make slow SHARE=3/20` is a twentieth of it, without what takes many minutes by itself.
slow: setup
	$(BIN)/pytest -n 2 -m "slow or hypothesis" --hypothesis-profile thorough $(if $(SHARE),--share $(SHARE) -x)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/image/Dockerfile
	$(BIN)/dg check yaml
	$(BIN)/dg check defs
	$(BIN)/adplatform validate

# Writes deploy/cdk.out. Needs Node 20 or later, and no account, network or docker.
synth: deploy/.venv/.made
	deploy/.venv/bin/python -m deploy.app

cost: deploy/.venv/.made
	@deploy/.venv/bin/python -m deploy.cost

deploy-check: deploy/.venv/.made deploy/least_privilege/node_modules/.made
	deploy/.venv/bin/python -m pytest -n auto -q -p no:cacheprovider deploy/tests
	$(BIN)/pytest -n auto adplatform_tests/deploy

# What evaluates IAM policies in these tests.
deploy/least_privilege/node_modules/.made: deploy/least_privilege/package-lock.json
	npm ci --prefix deploy/least_privilege
	touch $@

# The tables of ready-made reports in the README, as they are in the code.
readme-tables: setup
	$(BIN)/adplatform amazon catalogue --readme README.md

# Which calls the roles of a deployment have to be allowed, as all tests make them.
record-calls: setup
	$(BIN)/pytest -n auto -m "not slow" --record-calls anew

# CDK needs other versions than the platform, and is none of its dependencies: it sees those of the platform, and is
# not seen by it.
deploy/.venv/.made: deploy/requirements.lock $(STAMP)
	$(PYTHON) -m venv deploy/.venv
	$(BIN)/uv pip sync --quiet --compile-bytecode --python deploy/.venv/bin/python --require-hashes deploy/requirements.lock
	$(BIN)/python -c 'import pathlib, sysconfig; print(sysconfig.get_path("purelib")); print(pathlib.Path.cwd())' \
	  > $$(deploy/.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/platform.pth
	touch $@

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

HOME_OF_DAGSTER := .adplatform/dagster/dagster.yaml

# What the commands and the UI need. Bytecode is made of what is imported; tests import nearly all, so all has it then.
local: $(LOCAL) $(HOME_OF_DAGSTER)

setup: $(STAMP) $(HOME_OF_DAGSTER)

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python

# uv comes from the same hash-locked list, by pip, because a machine may have neither uv nor a warm cache.
$(LOCAL): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	grep -A 1000 '^uv==' requirements.lock | awk 'NR > 1 && !/^ / { exit } { print }' > $(VENV)/uv.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	$(INSTALL) --require-hashes --constraint requirements.lock --requirements pyproject.toml --extra local --extra mcp
	$(INSTALL) --no-build-isolation --no-deps --editable .
	touch $@

$(STAMP): $(LOCAL)
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	$(INSTALL) --no-build-isolation --no-deps --editable .
	$(BIN)/python -m compileall -q adplatform
	touch $@

# What .env names for plain `dagster dev`.
$(HOME_OF_DAGSTER): | $(LOCAL)
	$(BIN)/python -m adplatform.local.dagster_home .adplatform

# What Glue 5 runs, with Iceberg and the Glue catalogue in a jar of 90 MB, for tests of the slow suite.
spark35: .venv-spark35/.made

.venv-spark35/.made: Makefile | $(STAMP)
	$(PYTHON) -m venv .venv-spark35
	$(BIN)/uv pip install --quiet --python .venv-spark35/bin/python \
	  pyspark==3.5.9 sagemaker-feature-store-pyspark==2.2.2 'pyarrow==17.*' 'numpy==1.26.*' 'pandas==2.2.*' \
	  boto3==1.34.131 tenacity setuptools
	touch $@

# dbt below 1.11 on DuckDB and with Dagster, and packages that read an Ads account, for tests of the slow suite. Where
# github.com is not reached, those that need the packages are skipped.
dbt: .venv-dbt/.made

.venv-dbt/.made: Makefile | $(STAMP)
	$(PYTHON) -m venv .venv-dbt
	$(BIN)/uv pip install --quiet --python .venv-dbt/bin/python \
	  dbt-core==1.10.23 dbt-duckdb==1.10.1 duckdb==2.0.1 dagster==1.13.27 dagster-dbt==0.29.27
	-$(call DBT_PACKAGE,fivetran/dbt_amazon_ads,v1.2.0,amazon_ads)
	-$(call DBT_PACKAGE,fivetran/dbt_fivetran_utils,v0.4.10,fivetran_utils)
	-$(call DBT_PACKAGE,dbt-labs/dbt-utils,1.3.3,dbt_utils)
	touch $@

DBT_PACKAGE = test -d .venv-dbt/packages/$(3) || git clone --quiet --depth 1 --branch $(2) \
  https://github.com/$(1) .venv-dbt/packages/$(3)

# Another loader that writes into a landing zone, for tests of the slow suite.
dlt: .venv-dlt/.made

.venv-dlt/.made: Makefile | $(STAMP)
	$(PYTHON) -m venv .venv-dlt
	$(BIN)/uv pip install --quiet --python .venv-dlt/bin/python 'dlt[filesystem,parquet]==1.31.0' s3fs==2026.9.0
	touch $@

# What validates and tests data contracts, for tests of the slow suite.
odcs: .venv-odcs/.made

.venv-odcs/.made: Makefile | $(STAMP)
	$(PYTHON) -m venv .venv-odcs
	$(BIN)/uv pip install --quiet --python .venv-odcs/bin/python \
	  'datacontract-cli[duckdb,parquet,s3]==1.2.7' open-data-contract-standard==3.2.0 jsonschema==4.26.0
	touch $@

# The lists of the image have the versions of the first: what production needs, and what its wheel is built with.
COMPILE := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet

lock:
	$(BIN)/uv pip compile pyproject.toml --all-extras $(COMPILE) --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra aws --extra lineage --extra traces $(COMPILE) --no-annotate --constraint requirements.lock \
	  --output-file deploy/image/requirements.lock
	printf 'uv\nhatchling\n' | $(BIN)/uv pip compile - $(COMPILE) --no-annotate --constraint requirements.lock \
	  --output-file deploy/image/build.lock
	$(BIN)/uv pip compile deploy/requirements.in $(COMPILE) --constraint requirements.lock \
	  --output-file deploy/requirements.lock

clean:
	rm -rf $(VENV) .venv-spark35 .venv-dbt .venv-dlt .venv-odcs .adplatform deploy/.venv deploy/cdk.out \
	  deploy/least_privilege/node_modules
