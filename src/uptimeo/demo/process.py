"""How is the demo target started, and how is it stopped? A child process of its own."""

from uptimeo.children import Child
from uptimeo.demo.monitors import DemoTarget


class DemoProcess:
    """A running demo target. It ends with `stop()`, or when this process ends in any way."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.target = DemoTarget(**child.announced)

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self.child.process.pid

    @classmethod
    async def start(cls) -> "DemoProcess":
        """Start the child and wait until it listens. Raises FatalError if it does not."""
        return cls(await Child.start("uptimeo.demo.target", what="the demo target"))

    async def stop(self) -> None:
        """Close the child's standard input, and kill it if it does not end within a second."""
        await self.child.stop()
