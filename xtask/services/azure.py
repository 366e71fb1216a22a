"""Makes a container in an Azure Blob server and prints two shared access signatures for it, one that is over.

azure.py PORT ACCOUNT KEY CONTAINER
"""
import base64
import datetime
import hashlib
import hmac
import http.client
import sys
import urllib.parse

port, account, key, container = sys.argv[1:]
VERSION = "2021-12-02"


def sign(text):
    mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def shared_access(days):
    now = datetime.datetime.now(datetime.timezone.utc)
    day = lambda offset: (now + datetime.timedelta(days=offset)).strftime("%Y-%m-%dT%H:%M:%SZ")
    start, end = day(min(days, 0) - 1), day(days)
    text = "\n".join(["racwdl", start, end, f"/blob/{account}/{container}", "", "", "http,https", VERSION, "c"])
    signature = sign(text + "\n" * 7)
    fields = {"sv": VERSION, "spr": "http,https", "st": start, "se": end, "sr": "c", "sp": "racwdl", "sig": signature}
    return urllib.parse.urlencode(fields)


date = datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}/{account}/{container}\nrestype:container"
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
headers = {"x-ms-date": date, "x-ms-version": VERSION, "Authorization": f"SharedKey {account}:{sign(text)}"}
connection.request("PUT", f"/{account}/{container}?restype=container", headers=headers)
answer = connection.getresponse()
if answer.status not in (201, 409):
    sys.exit(f"{answer.status} {answer.read().decode(errors='replace')}")
print(shared_access(30))
print(shared_access(-1))
