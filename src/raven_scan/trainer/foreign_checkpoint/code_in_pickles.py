"""Telling pickles that carry code from those that merely hold objects beside the tensors.

Reading does not depend on it: nothing that a pickle names is ever imported or called, so that what slips through
here stays inert. It is for the user, who should know that a file was made to attack whoever opens it.
"""

import re
from typing import Any

# Modules whose functions run programs or code, open files and connections, or load other modules.
_CODE_MODULES = re.compile(
    r"""(
    _?io | _?pickle | _?posixsubprocess | _?socket | _?ctypes | _?operator | _?thread | aiohttp | asyncio | atexit
    | bdb | cloudpickle | code | codeop | concurrent | cProfile | dill | distutils | doctest | ensurepip
    | fileinput | ftplib | glob | http | httplib | imp | importlib | inspect | joblib | linecache | marshal
    | multiprocessing | nt | ntpath | os | pdb | pip | pkg_resources | pkgutil | platform | posix | profile
    | pty | pydoc | requests | runpy | setuptools | shelve | shutil | signal | site | smtplib | socketserver | sqlite3
    | ssl | subprocess | sys | tempfile | test | threading | timeit | trace | types | unittest | urllib2? | venv
    | webbrowser | xmlrpc | zipimport
    )(\..*)?""",
    re.VERBOSE,
)
# Types, and getattr, by which MMEngine's logs refer to their own methods; what it may take is checked on its call.
_PLAIN_BUILTINS = frozenset(
    {
        *("bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "getattr", "int", "list"),
        *("object", "range", "set", "slice", "str", "tuple"),
    }
)
_PLAIN_TORCH = re.compile(
    r"""torch\.(
    _utils\._rebuild_\w+ | _tensor\._rebuild_from_type_v2 | (cuda\.|storage\.)?\w*(Storage|Tensor) | Size | device
    | dtype | layout | Generator | (b?float|u?int|q?u?int|complex|bool|half|double|long|short)\w* | strided
    | per_(tensor|channel)_\w+ | serialization\._get_layout | torch_version\.TorchVersion | nn(\.\w+)* | optim(\.\w+)*
    )""",
    re.VERBOSE,
)
_PLAIN_NUMPY = re.compile(
    r"""numpy\.(
    (_?core\.)?multiarray\.(_reconstruct | scalar) | (_?core\.)?numeric\._frombuffer | ndarray | dtype
    | dtypes\.\w+ | random\._pickle\.\w+ | random\.\w*(MT19937|PCG64|Philox|SFC64|Generator)
    | (bool_?|float|u?int|complex|str_|bytes_)\w*
    )""",
    re.VERBOSE,
)
_NAMES_METHOD = re.compile(r"mmengine\.[\w.]+")


def is_code(module: str, name: str) -> bool:
    """Whether a name is of something that runs code when it is called."""
    path = f"{module}.{name}"
    if module == "builtins":
        return name not in _PLAIN_BUILTINS
    if module.split(".", 1)[0] == "torch":
        return not _PLAIN_TORCH.fullmatch(path)
    if module.split(".", 1)[0] == "numpy":
        return not _PLAIN_NUMPY.fullmatch(path)
    return bool(_CODE_MODULES.fullmatch(module)) or path == "functools.reduce"


def is_code_call(maker: str, arguments: tuple[Any, ...], argument_names: list[str]) -> bool:
    """Whether a call of something that is plain in itself reaches for code.

    Args:
        maker: full name of what is called; "" for what an earlier call returned.
        arguments: of the call.
        argument_names: full names of those arguments that are names.
    """
    if maker == "builtins.getattr":
        return (
            len(arguments) != 2
            or len(argument_names) != 1
            or not _NAMES_METHOD.fullmatch(argument_names[0])
            or not isinstance(arguments[1], str)
            or arguments[1].startswith("_")
        )
    return maker == ""
