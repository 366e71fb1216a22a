"""Makes a bucket that keeps versions: s3.py PORT KEY SECRET BUCKET."""

import datetime
import hashlib
import hmac
import http.client
import sys

REGION = "us-east-1"
ON = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def put(port, key, secret, path, query, body):
    """Sends a signed request (AWS Signature Version 4) and returns the status."""
    host = f"127.0.0.1:{port}"
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": now}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = "\n".join(["PUT", path, query, lines, names, digest])
    scope = f"{now[:8]}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashed])
    sign = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), text]:
        sign = hmac.new(sign, part.encode(), hashlib.sha256).digest()
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={sign.hex()}"
    )
    connection = http.client.HTTPConnection(host, timeout=10)
    connection.request("PUT", f"{path}?{query}" if query else path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def main(port, key, secret, bucket):
    for query, body in [("", b""), ("versioning=", ON)]:
        status, said = put(port, key, secret, f"/{bucket}", query, body)
        if status not in (200, 409):
            sys.exit(f"{query or 'a new bucket'}: {status} {said.decode(errors='replace')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
