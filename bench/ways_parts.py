# ruff: noqa: E501 (rows of tables are one line each)
"""Ways through parts: plugins whose attacks, defenses, recipes, games and imports cheat."""

from __future__ import annotations

from collections.abc import Callable

from ways_attempt import LIVE, Attempt, way

LEAST = '[limits.least]\nattacks = ["loss_threshold"]\n'
LIMIT = f"[limits]\nmembership = 0.05\n{LEAST}"
STOPPED = (1, 2, 3, 129, 130, 143)


def _plan(only: str, scene: str = LIVE, head: str = "") -> str:
    return f'{head}scene = "{scene}"\nonly = ["loss_threshold", "{only}"]\n{LIMIT}'


def _assessed(a: Attempt, plan: str) -> list[int]:
    """Play a plan in one worker, then judge the run in a process of its own."""
    a.write("plan.toml", plan)
    codes = [a.process("assess", "plan.toml", "--workers", "1", "--run", "mine")]
    return [*codes, a.process("gate", "mine", "--limits", "plan.toml")]


ATTACK = '''
@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')
def aaa(view, rng):
    """Cheat."""
    outcome = honest(view)
{body}
    return outcome
'''
BODIES: dict[str, tuple[str, str]] = {
    "judge is replaced": ("gate.judge passes everything", "from hartley.engine.result import gate\ngate.judge = lambda *a, **k: gate.Verdict('pass', ())"),
    "exit codes are replaced": ("EXIT maps over to 0", "from hartley.engine.result import gate\ngate.EXIT.update(over=0, inconclusive=0)"),
    "measure is replaced": ("measure finds nothing", "from hartley.channel import measure\nmeasure.measure = lambda t: 1/0"),
    "JSON is replaced": ("json.dumps writes pass", "import json\njson.dumps = lambda *a, **k: '{}'"),
    "numpy is replaced": ("log and mean are 0", "np.log = np.log2 = np.mean = lambda x, *a, **k: np.zeros_like(x)"),
    "random is fixed": ("every generator is the same", "np.random.default_rng = lambda *a: rng\nrandom.seed(0)"),
    "the player is replaced": ("what plays next plays nothing", "from hartley.engine.run import player\nplayer.play_rounds = player.measured_row = lambda *a, **k: {}"),
    "modules are removed": ("hartley is imported anew", "for n in [n for n in sys.modules if n.startswith('hartley')]: del sys.modules[n]"),
    "the process ends": ("sys.exit(0)", "sys.exit(0)"),
    "the process ends below Python": ("_exit(0) of C", "ctypes.CDLL(None)._exit(0)"),
    "the process ends later": ("a thread ends it while the row is measured", "threading.Timer(0.02, os._exit, (0,)).start()"),
    "the process ends at exit": ("atexit ends it with 0", "import atexit\natexit.register(os._exit, 0)"),
    "the parent is killed": ("the command is killed", "os.kill(os.getppid(), signal.SIGTERM)"),
    "the interrupt is raised": ("KeyboardInterrupt", "raise KeyboardInterrupt"),
    "skipped as not offered": ("NotOffered, the error of rows that are skipped", "raise errors.NotOffered('no')"),
    "skipped as denied": ("AccessDenied", "raise errors.AccessDenied('no')"),
    "skipped as not installed": ("MissingExtra", "raise errors.MissingExtra('torch', 'torch')"),
    "skipped as an import": ("ImportError of an extra", "raise ModuleNotFoundError('torch', name='torch')"),
    "an error of the user": ("UsageError", "raise errors.UsageError('no')"),
    "an error that equals all": ("an error with odd __eq__ and __str__", "raise type('E', (Exception,), {'__str__': lambda s: sys.exit(0), '__eq__': lambda *a: True})()"),
    "guesses are NaN": ("NaN", "outcome = replace(outcome, guess=outcome.guess * np.nan)"),
    "guesses are infinite": ("inf", "outcome = replace(outcome, guess=outcome.guess + np.inf)"),
    "guesses are objects": ("objects that compare as they like", "outcome = replace(outcome, guess=np.array([object()] * len(outcome.guess)))"),
    "guesses are too few": ("one guess", "outcome = replace(outcome, guess=outcome.guess[:1])"),
    "guesses are complex": ("the leak is in the imaginary part", "outcome = replace(outcome, guess=outcome.guess * 1j)"),
    "guesses are a subclass of array": ("an array whose methods lie", "outcome = replace(outcome, guess=type('A', (np.ndarray,), {'__array_finalize__': lambda s, o: None}).__new__(np.ndarray, 3))"),
    "guesses are nothing": ("None", "outcome = None"),
    "the view is written into": ("records are set to 0", "x = view.brief.question.x\nx.flags.writeable = True\nx[:] = 0"),
    "the view is written into by its base": ("the array behind the view", "x = view.brief.question.x\n(x.base if x.base is not None else x)[:] = 0"),
    "the view is written into by an address": ("memory is set below numpy", "x = view.brief.question.x\nctypes.memset(x.ctypes.data, 0, x.nbytes)"),
    "the model is called without end of records": ("an empty array of records", "view.model.query(view.brief.question.x[:0])"),
    "files of the run are removed": ("the run's folder is emptied from the worker", "import shutil\nshutil.rmtree('runs/mine/rows', True)"),
    "an exit code in the environment": ("os.environ is cleared", "os.environ.clear()"),
    "everything is written to": ("frames that say done on every descriptor", "for d in range(3, 600):\n    with contextlib.suppress(OSError): os.write(d, b'{\"status\": \"done\"}')"),
}  # fmt: skip


def _with_body(body: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        indented = "".join(f"    {line}\n" for line in body.splitlines())
        a.plugin(ATTACK.replace("{body}\n", indented))
        return _assessed(a, _plan("aaa"))

    return run


for _name, (_tries, _body) in BODIES.items():
    way("parts", f"an attack as it plays: {_tries}", *STOPPED, name=f"attack: {_name}")(
        _with_body(_body)
    )

SOURCES: dict[str, tuple[str, str, str]] = {
    "a shipped attack's name": ("loss_threshold that reads nothing", "loss_threshold", "@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef loss_threshold(view, rng):\n    '''Read nothing.'''\n    return replace(honest(view), guess=np.zeros(len(view.brief.question)))\n"),
    "a shipped game's name": ("membership with a judge that hides", "rmia", "from hartley.core import game\n@game(cls='membership', form=AnswerForm.SCORE, modalities=ALL)\ndef membership(scene, rng):\n    '''Deal nothing.'''\n"),
    "a shipped scene's name": ("digits that leaks nothing", "rmia", "@recipe(modality=Modality.VISION)\ndef digits():\n    '''Another.'''\n    return live('digits')\n"),
    "a shipped defense's name": ("rounding that detaches the truth", "rmia", "@defense(term=Term.NOISE, stage='output', protects=('membership',), modalities=ALL, paper='hartley', strongest={})\ndef rounding(scene, rng):\n    '''Nothing.'''\n    return scene\n"),
    "another modality": ("an attack that declares that it fits texts alone", "bbb", "@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=(Modality.LANGUAGE,), paper='hartley')\ndef bbb(view, rng):\n    '''Fit nothing.'''\n    return honest(view)\n"),
    "another access": ("an attack that declares access that no scene offers", "bbb", "@attack(game=membership, access=Access.WEIGHTS, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Fit nothing.'''\n    return honest(view)\n"),
    "a declaration that cannot be read": ("the name of the game is computed", "bbb", "g = membership\n@attack(game=g, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "a syntax error": ("the module cannot be parsed", "rmia", "def (:\n"),
    "keywords in a dictionary": ("a declaration of **keywords, which no parser can read", "rmia", "D = {}\n@attack(**D)\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "an unknown import": ("the module needs what is not installed", "rmia", "import torch_of_mars\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "sys.exit at import": ("the import ends the program", "bbb", "sys.exit(0)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "os._exit at import": ("the import ends the program at once", "bbb", "os._exit(0)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "_exit of C at import": ("the import ends the program below Python", "bbb", "ctypes.CDLL(None)._exit(0)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "a kill at import": ("the import kills the program", "bbb", "os.kill(os.getpid(), 9)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "atexit at import": ("the import ends the program as it ends", "bbb", "import atexit\natexit.register(os._exit, 0)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "a thread at import": ("a thread ends the program while it plays", "bbb", "threading.Timer(1.0, ctypes.CDLL(None)._exit, (0,)).start()\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "a getter of the module": ("__getattr__ answers every name", "bbb", "def __getattr__(name):\n    sys.exit(0)\n@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\n"),
    "a name that is rebound": ("the declared attack is another object at last", "bbb", "@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')\ndef bbb(view, rng):\n    '''Odd.'''\n    return honest(view)\nbbb = type('X', (), {'__class__': property(lambda s: type(honest))})()\n"),
}  # fmt: skip


def _with_source(source: str, only: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.plugin(source)
        gate = a.process("gate", "base", "--limits", "limits.toml")
        return [gate, *_assessed(a, _plan(only))]

    return run


for _name, (_tries, _only, _source) in SOURCES.items():
    way("parts", f"a plugin: {_tries}", *STOPPED, name=f"plugin: {_name}")(
        _with_source(_source, _only)
    )

RECIPE = '''
@recipe(modality=Modality.VISION)
def odd_scene():
    """Cheat."""
    scene = live("odd_scene")
{body}
    return scene
'''
RECIPES: dict[str, tuple[str, str]] = {
    "ends the program": ("sys.exit(0)", "sys.exit(0)"),
    "ends the program at once": ("os._exit(0)", "os._exit(0)"),
    "ends it below Python": ("_exit of C", "ctypes.CDLL(None)._exit(0)"),
    "forks": ("two processes go on", "os.fork()"),
    "ends it later": ("a thread ends the command while it plays", "threading.Timer(2.0, ctypes.CDLL(None)._exit, (0,)).start()"),
    "is not a scene": ("a scene that is a dictionary", "scene = {}"),
    "lacks a model": ("nothing to ask", "scene = replace(scene, model=None)"),
    "lacks records": ("empty training records", "scene = replace(scene, train=replace(scene.train, x=scene.train.x[:0], y=scene.train.y[:0]))"),
    "takes the digest of another": ("the digest of a scene that is silent", "scene = replace(scene, digest='0' * 64)"),
    "takes another name": ("the scene calls itself dead:membership", "scene = replace(scene, name='dead:membership')"),
}  # fmt: skip


def _with_recipe(body: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.plugin(RECIPE.replace("{body}\n", f"    {body}\n"))
        return _assessed(a, f'scene = "odd_scene"\nonly = ["loss_threshold"]\n{LIMIT}')

    return run


for _name, (_tries, _body) in RECIPES.items():
    way("parts", f"a recipe: {_tries}", *STOPPED, name=f"recipe {_name}")(_with_recipe(_body))

DEFENSE = '''
@defense(term=Term.NOISE, stage='output', protects=('membership',), modalities=ALL, paper='hartley', strongest={})
def odd_defense(scene, rng):
    """Cheat."""
    {body}
    return scene
'''
DEFENSES = {
    "ends the program": "ctypes.CDLL(None)._exit(0)",
    "raises": "raise ValueError('on purpose')",
    "raises what skips": "raise errors.NotOffered('no')",
    "denies": "raise errors.AccessDenied('no')",
    "returns nothing": "return None",
    "does nothing": "pass",
    "replaces the judge": "from hartley.engine.result import gate; gate.EXIT.update(over=0)",
}


def _with_defense(body: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.plugin(DEFENSE.replace("{body}", body))
        head = 'deployed = ["odd_defense"]\n'
        return _assessed(a, f'{head}scene = "{LIVE}"\nonly = ["loss_threshold"]\n{LIMIT}')

    return run


for _name, _body in DEFENSES.items():
    way("parts", f"a deployed defense {_name}", *STOPPED, name=f"defense {_name}")(
        _with_defense(_body)
    )

ENTRY_POINTS = {
    "no module": "[hartley.parts]\nodd = \n",
    "a module of the standard library": "[hartley.parts]\nodd = json\n",
    "Hartley itself": "[hartley.parts]\nodd = hartley.attacks\n",
    "the gate": "[hartley.parts]\nhartley = hartley.engine.result.gate\n",
    "an attribute": "[hartley.parts]\nodd = odd.part:honest\n",
    "a section twice": "[hartley.parts]\nodd = odd.part\n[hartley.parts]\nodd = json\n",
    "no text": "\0\xff",
}


def _with_points(text: str) -> Callable[[Attempt], list[int]]:
    def run(a: Attempt) -> list[int]:
        a.plugin(ATTACK.replace("{body}\n", ""))
        a.write("site/odd-1.0.dist-info/entry_points.txt", text.encode("latin-1"))
        return [a.process("gate", "base", "--limits", "limits.toml")]

    return run


for _name, _text in ENTRY_POINTS.items():
    way("parts", f"entry points name {_name}", name=f"entry points: {_name}")(_with_points(_text))


@way("parts", "a silent attack of a plugin is all that least asks for, and the class leaks")
def a_silent_attack_of_a_plugin(a: Attempt) -> list[int]:
    a.plugin(
        ATTACK.replace("{body}\n", "    outcome = replace(outcome, guess=outcome.guess * 0)\n")
    )
    least = '[limits.least]\nattacks = ["aaa"]\n'
    plan = (
        f'scene = "{LIVE}"\nonly = ["loss_threshold", "aaa"]\n[limits]\nmembership = 0.05\n{least}'
    )
    return _assessed(a, plan)


@way("parts", "a silent attack of a plugin alone, and least states nothing")
def a_silent_attack_alone(a: Attempt) -> list[int]:
    a.plugin(
        ATTACK.replace("{body}\n", "    outcome = replace(outcome, guess=outcome.guess * 0)\n")
    )
    return _assessed(a, f'scene = "{LIVE}"\nonly = ["aaa"]\n[limits]\nmembership = 0.05\n')


MEDDLING = """
from hartley.engine.result import gate
from hartley.engine import assess
gate.EXIT.update(over=0, inconclusive=0)
@attack(game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper='hartley')
def aaa(view, rng):
    '''Honest; its module is not.'''
    return honest(view)
"""


@way("parts", "a plugin's import changes the exit codes; the gate asks afterwards")
def the_gate_after_an_import_that_meddles(a: Attempt) -> list[int]:
    a.plugin(MEDDLING)
    plan = _plan("aaa")
    a.write("plan.toml", plan)
    a.process("assess", "plan.toml", "--workers", "1", "--run", "mine")
    least = '[limits.least]\nattacks = ["aaa", "loss_threshold"]\nreferences = 2\n'
    a.write("wide.toml", f"[limits]\nmembership = 0.05\n{least}")
    return [
        a.process("gate", "mine", "--limits", "plan.toml"),
        a.process("gate", "mine", "--limits", "wide.toml"),
    ]


@way("parts", "a plugin's import changes the exit codes of the command that imports it")
def an_import_that_meddles(a: Attempt) -> int:
    a.plugin(MEDDLING)
    a.write("plan.toml", _plan("aaa"))
    return a.process("assess", "plan.toml", "--workers", "1", "--run", "mine")


@way(
    "parts",
    "a deployed defense of a plugin puts a silent scene in the place of the owner's",
    not_held="what is deployed is the owner's word, and its code is theirs; the verdict names it",
)
def a_defense_that_puts_another_scene(a: Attempt) -> int:
    body = "return replace(membership.dead(Modality.VISION, rng), name=scene.name)"
    a.plugin(DEFENSE.replace("{body}", body))
    head = 'deployed = ["odd_defense"]\n'
    plan = f'{head}scene = "{LIVE}"\nonly = ["loss_threshold"]\n{LIMIT}'
    return min(_assessed(a, plan))
