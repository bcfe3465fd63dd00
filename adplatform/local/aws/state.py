"""The one lock of the embedded AWS.

moto's services are not thread-safe: two writers pass the same condition, and a message sent while another is deleted
disappears. Every request changes or reads state under this lock. It costs little, because the interpreter runs one
request at a time anyway; bodies are received and sent outside of it, and long polls release it while they wait.
"""

import threading

LOCK = threading.RLock()
