from adplatform.cli.app import app as app
