"""A test server of Login with Amazon, the Amazon Ads reporting API and the Selling Partner reports API."""
