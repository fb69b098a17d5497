"""A Gopher server with one menu: the address to listen at is its argument."""

import socketserver
import sys

MENU = "1Weather\t/weather\tgopher.example\t70\r\n0News\t/news\tgopher.example\t70\r\n.\r\n"


class Burrow(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(MENU.encode())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


if __name__ == "__main__":
    Server((sys.argv[1], 70), Burrow).serve_forever()
