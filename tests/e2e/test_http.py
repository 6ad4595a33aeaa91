"""nginx behind the agent, curl in front of the client: one request, and 10,000 with 200 at once."""

from lab import Nginx, Pattern, Scenario, main, start_all

REQUESTS = 10_000
AT_ONCE = 200


class Http(Scenario):
    @classmethod
    def prepare(cls):
        cls.gateway, cls.agent, cls.client = start_all(cls.lab)
        port = cls.lab.agent.free_port()
        files, _ = cls.lab.home("files")
        (files / "large").write_bytes(Pattern(1).part(0, 8 << 20))
        Nginx(cls.lab, cls.lab.agent, f"""
            server {{
                listen 127.0.0.1:{port} backlog=1024;
                client_max_body_size 64m;
                location ~ ^/number/([0-9]+)$ {{ return 200 "this is number $1\\n"; }}
                location /large {{ root {files}; }}
                location /missing {{ return 404; }}
            }}""", port)
        cls.forward = cls.client.forward("home", f"127.0.0.1:{port}", "--relay")
        cls.url = f"http://127.0.0.1:{cls.forward.port}"

    def curl(self, *arguments, timeout=60):
        return self.lab.check(["curl", "--silent", "--show-error", "--http1.1", *arguments], self.lab.client,
                              timeout=timeout)

    def test_a_single_request_is_answered(self):
        self.assertEqual(self.curl(f"{self.url}/number/1").out, "this is number 1\n")
        status = self.curl("-o", "/dev/null", "-w", "%{http_code}", f"{self.url}/missing")
        self.assertEqual(status.out, "404")

    def test_a_large_body_arrives_whole(self):
        file = self.lab.folder / "large"
        self.curl("-o", file, f"{self.url}/large")
        self.assertEqual(file.read_bytes(), Pattern(1).part(0, 8 << 20))

    def test_ten_thousand_requests_each_on_a_connection_of_its_own(self):
        self.storm("--header", "Connection: close")

    def test_ten_thousand_requests_on_connections_that_stay_open(self):
        self.storm()

    def storm(self, *arguments):
        """`AT_ONCE` requests are under way until `REQUESTS` are answered; each body is checked."""
        bodies, _ = self.lab.home("bodies")
        configuration = bodies / "curl.conf"
        configuration.write_text(f'url = "{self.url}/number/[1-{REQUESTS}]"\n'
                                 f'output = "{bodies}/#1"\n')
        done = self.curl("--parallel", "--parallel-immediate", "--parallel-max", str(AT_ONCE), "--fail",
                         "--no-progress-meter", "--write-out", "%{http_code}\\n", *arguments,
                         "--config", configuration, timeout=240)
        self.assertEqual(done.out.split(), ["200"] * REQUESTS)
        wrong = [number for number in range(1, REQUESTS + 1)
                 if (bodies / str(number)).read_text() != f"this is number {number}\n"]
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    main()
