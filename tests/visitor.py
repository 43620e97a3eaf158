"""A visitor of the page without a browser: the protocol that Gradio's own client speaks, over HTTP."""

import json
import secrets
from pathlib import Path

import httpx

API = "/gradio_api"


class Visitor:
    """One browser: a cookie, a session, the page's configuration."""

    def __init__(self, address: str, timeout: float = 60):
        self.http = httpx.Client(base_url=address, timeout=timeout)
        self.session = secrets.token_hex(6)
        self.http.get("/").raise_for_status()
        self.config = self.http.get("/config").json()
        self.components = {part["id"]: part for part in self.config["components"]}
        self.handlers = [d for d in self.config["dependencies"] if d["backend_fn"]]

    def load(self) -> "Visitor":
        """What a browser asks for when the page opens; the answers change the components."""
        for handler in self.handlers:
            if any(event == "load" for _, event in handler["targets"]):
                done = self.run(handler, self.values(handler), trigger_id=0, event_data=None)
                assert done["success"], done
                for number, value in zip(handler["outputs"], done["output"]["data"], strict=True):
                    update = isinstance(value, dict) and value.get("__type__") == "update"
                    self.components[number]["props"].update(value if update else {"value": value})
        return self

    def close(self) -> None:
        self.http.close()

    def named(self, elem_id: str) -> int:
        """The number of a component."""
        return next(n for n, part in self.components.items() if part["props"].get("elem_id") == elem_id)

    def handler(self, elem_id: str, event: str) -> dict:
        """What runs when something happens to a component."""
        target = [self.named(elem_id), event]
        return next(d for d in self.handlers if target in [list(t) for t in d["targets"]])

    def upload(self, path: Path) -> dict:
        """The value of a component that holds the file."""
        with path.open("rb") as file:
            answer = self.http.post(f"{API}/upload", files={"files": (path.name, file)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}, "orig_name": path.name}

    def join(self, handler: dict, data: list, **more) -> httpx.Response:
        body = {"fn_index": handler["id"], "session_hash": self.session, "data": data, **more}
        headers = {"content-type": "application/json"}
        # Python's json writes Infinity and NaN, too.
        return self.http.post(f"{API}/queue/join", content=json.dumps(body), headers=headers)

    def run(self, handler: dict, data: list, **more) -> dict:
        """The last message about a job: `{"success": ..., "output": ...}`."""
        joined = self.join(handler, data, **more)
        if joined.status_code != 200:
            return {"success": False, "output": {"error": joined.text}, "status": joined.status_code}
        return self.finish(joined.json()["event_id"])

    def finish(self, event: str) -> dict:
        address, done = f"{API}/queue/data?session_hash={self.session}", None
        # Read to the end: a stream that is broken off cancels what the session asks for next.
        with self.http.stream("GET", address) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("event_id") == event and message["msg"] == "process_completed":
                    done = message
                if message.get("msg") == "unexpected_error":
                    done = {"success": False, "output": {"error": message["message"]}}
                if message.get("msg") == "close_stream":
                    break
        if done is None:
            raise ConnectionError("the stream ended before the job did")
        return done

    def values(self, handler: dict, **given) -> list:
        """The inputs of a handler as the page opens, with some given by elem_id."""
        ids = [self.components[number]["props"].get("elem_id") for number in handler["inputs"]]
        return [
            given[name] if name in given else self.components[number]["props"].get("value")
            for name, number in zip(ids, handler["inputs"], strict=True)
        ]
