"""``python -m load``: a process full of clients, as :mod:`load.crew` starts it."""

import asyncio
import json
import sys
from pathlib import Path

from load.cast import Cast
from load.client import Ports
from load.generator import Generator, Persistent
from load.scene import Scene
from load.trouble import Trouble

kind, directory, name, starttls, implicit, clients = sys.argv[1:]
player = {"load": Generator, "persistent": Persistent, "trouble": Trouble}[kind](
    name, Scene(Ports(int(starttls), int(implicit)), Cast(Path(directory)))
)
asyncio.run(player.run(int(clients)))
json.dump(player.report, sys.stdout, default=vars)
