"""A notice board: the address to listen at and the port are its arguments. Any program in any language will do."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Board(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = b"<html><head><title>Notice board</title></head><body>All is well.</body></html>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


if __name__ == "__main__":
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Board).serve_forever()
