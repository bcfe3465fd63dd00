"""Parts of files on a server, read ahead."""

import paramiko


class Window(paramiko.SFTPFile):
    """A part of an open file, read ahead at once: what paramiko has read ahead in vain it keeps as long as this."""

    def __del__(self) -> None:
        """The file stays open."""
