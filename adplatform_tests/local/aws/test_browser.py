"""What a page in a real browser can do to the embedded AWS of the same machine."""

import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from adplatform.local.signed import ADMIN_PATH, order
from adplatform.platform.aws import Aws

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ATTACK = """
<title>waiting</title>
<form id="upload" method="post" action="{url}/{bucket}" enctype="multipart/form-data" target="frame">
  <input name="key" value="forged.csv"><input name="file" value="forged">
</form>
<iframe name="frame"></iframe>
<img src="{url}/{bucket}/original.csv">
<script>
  document.getElementById("upload").submit();
  const send = (path, body) => fetch("{url}" + path, {{method: "POST", mode: "no-cors", body}});
  const doomed = "<Delete><Object><Key>original.csv</Key></Object></Delete>";
  Promise.allSettled([
    send("/{bucket}?delete", doomed),
    send("{admin}", '{{"advance": 8640000}}'),
    fetch("{url}/{bucket}/original.csv").then(answer => answer.text()),
  ]).then(done => document.title = done.map(each => each.status).join(" ") + " " + done[2].value);
</script>
"""


@contextmanager
def page(text: str) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_a_page_uploads_deletes_moves_and_reads_nothing(aws: Aws) -> None:
    bucket = f"page-{uuid.uuid4().hex[:12]}"
    s3, url = aws.client("s3"), str(aws.endpoint_url)
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="original.csv", Body=b"clear values")
    before = order(url, {})["now"]
    with page(ATTACK.format(url=url, bucket=bucket, admin=ADMIN_PATH)) as at:
        command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"]
        seen = subprocess.run([*command, "--dump-dom", at], capture_output=True, text=True, timeout=120, check=False)
    assert "<title>fulfilled fulfilled rejected undefined</title>" in seen.stdout, "all of it was sent"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["original.csv"]
    assert order(url, {})["now"][:10] == before[:10]
