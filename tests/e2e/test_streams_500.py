"""500 streams at once through one forward, each with its own bytes in both directions."""

import threading

from lab import Pattern, Scenario, TcpServer, main, read_exactly, read_to_end, start_all

STREAMS = 500
SIZE = 200_000


def reverse(connection):
    """Answers with the pattern of the seed in the first 4 bytes plus one, while it reads and checks."""
    seed = int.from_bytes(read_exactly(connection, 4), "big")
    sender = threading.Thread(target=connection.sendall, args=(Pattern(seed + 1).part(0, SIZE),), daemon=True)
    sender.start()
    Pattern(seed).check(0, read_exactly(connection, SIZE))
    sender.join(60)
    connection.shutdown(1)
    read_to_end(connection)


class Streams(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)

    def test_500_streams_carry_their_own_bytes_at_the_same_time(self):
        server = TcpServer(self.lab, self.lab.agent, reverse)
        forward = self.client.forward("home", server.target, "--relay")
        all_open = threading.Barrier(STREAMS)
        failures = []

        def stream(number):
            try:
                with forward.connect(timeout=90) as sock:
                    seed = number * 2
                    sock.sendall(seed.to_bytes(4, "big"))
                    all_open.wait(60)
                    sender = threading.Thread(target=sock.sendall, args=(Pattern(seed).part(0, SIZE),),
                                              daemon=True)
                    sender.start()
                    Pattern(seed + 1).check(0, read_exactly(sock, SIZE))
                    sender.join(60)
                    sock.shutdown(1)
                    if read_to_end(sock):
                        raise AssertionError("more bytes than were sent")
            except Exception as failure:  # every stream is to be reported, whatever it met
                failures.append(f"stream {number}: {failure!r}")
                all_open.abort()

        threads = [threading.Thread(target=stream, args=(number,), daemon=True) for number in range(STREAMS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(150)
        self.assertEqual(failures[:5], [])
        self.assertEqual(sum(thread.is_alive() for thread in threads), 0, "streams that never end")
        self.assertEqual((server.accepted, server.failures), (STREAMS, []))


if __name__ == "__main__":
    main()
