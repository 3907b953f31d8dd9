"""Who may train in a run directory: one process at a time, also after one that was killed."""

import errno
import fcntl
import os
from pathlib import Path

from ml_lstm.errors import UserError

# What storage without locks says: some network and cluster file systems.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class TrainingLock:
    """A lock on a file in a directory. The kernel lets go of it when the process ends, however it ends.

    The file stays, as another process may have opened it already.

    Args:
        path: of the file; its directory is made if need be.

    Raises:
        UserError: if another process holds it.
        OSError: if the file cannot be made.
    """

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not blocking, lest a pipe of that name wait for a reader; network storage locks what is open for writing only.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise UserError(
                f"{path.parent} is being trained by another process: wait for it, stop it, or give another --run_dir."
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                self.release()
                raise
            print(f"{path.parent} is on storage without locks: see to it that no other process trains there.")

    def release(self) -> None:
        """Lets another process train."""
        os.close(self._file)
