"""The platform as a CDK app. ``python -m deploy.app`` writes ``deploy/cdk.out``."""
