from adplatform_tests.support.sail import sail, sail_url

__all__ = ["sail", "sail_url"]
