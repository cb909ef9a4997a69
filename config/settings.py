"""All settings. Every variable read here is documented in docs/settings.md (a test holds the two together)."""

import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from config import env
from config.services.paths import Paths

BASE_DIR = Path(__file__).resolve().parent.parent
CONCORD_HOME = Path(env.text("CONCORD_HOME", str(BASE_DIR / "var"))).resolve()
PATHS = Paths(CONCORD_HOME)
PATHS.tmp.mkdir(parents=True, exist_ok=True)

DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.names("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.names("CSRF_TRUSTED_ORIGINS")
HTTPS = env.boolean("CONCORD_HTTPS", False)


def stored_secret_key() -> str:
    """A key made once and kept beside the data, so that sessions survive a restart."""
    path = CONCORD_HOME / "secret_key"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole under another name first: two processes starting at once must agree on one key.
        fresh = path.with_name(f"secret_key.{secrets.token_hex(4)}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(50))
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
        fresh.unlink()
    return path.read_text()


SECRET_KEY = env.secret("SECRET_KEY") or stored_secret_key()

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials",
    "config",
    "curation",
    "annotate",
]

MIDDLEWARE = [
    "config.middleware.content_security_policy",
    "config.middleware.health",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.context.site",
            ],
        },
    }
]


def database(url: str) -> dict[str, object]:
    """postgresql://user:password@host:port/name?sslmode=... as Django's settings; host may be a socket folder."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise env.BadEnvironment("DATABASE_URL must start with postgresql://: Concord runs on PostgreSQL only.")
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": query,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASE_URL = env.secret("DATABASE_URL")
BROKER_URL = env.secret("BROKER_URL")
DATABASES = {"default": database(DATABASE_URL or PATHS.database_url)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "curation.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 60 * 60 * 24 * 365 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
X_FRAME_OPTIONS = "DENY"

# Celery only wakes workers; what must last is a row. docs/decisions/0001-database-is-the-queue.md
CELERY_BROKER_URL = BROKER_URL or PATHS.broker_url
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "cpu"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# kombu sweeps for lost messages every 100 s by default; a killed worker's turn should come back at once.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"visibility_timeout": 300, "unacked_restore_interval": 2, "unacked_restore_throttle": 1, "socket_connect_timeout": 3}
    if CELERY_BROKER_URL.startswith(("redis", "rediss", "valkey"))
    else {}
)

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = CONCORD_HOME / "staticfiles"
STATIC_ROOT.mkdir(exist_ok=True)  # WhiteNoise warns where it is missing
WHITENOISE_USE_FINDERS = True
FILE_UPLOAD_TEMP_DIR = str(PATHS.tmp)
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024

LANGUAGE_CODE = "en-gb"
USE_TZ = True
TIME_ZONE = "UTC"

# A chunk that its worker has not renewed for so long goes to another one. Renewed every third of it.
LEASE_SECONDS = env.integer("CONCORD_LEASE_SECONDS", 30, least=1)
# Where judges may be called: an OpenAI-compatible server, its key, and the models it serves.
JUDGE_URL = env.text("CONCORD_JUDGE_URL")
JUDGE_API_KEY = env.secret("CONCORD_JUDGE_API_KEY")
# Reward models and judges: folders below which local checkpoints may lie, and hub ids whose remote code may run.
MODEL_DIRS = [Path(name).resolve() for name in env.names("CONCORD_MODEL_DIRS")]
REMOTE_CODE = env.names("CONCORD_REMOTE_CODE")
HF_TOKEN = env.secret("HF_TOKEN")
UPLOAD_LIMIT_BYTES = env.integer("CONCORD_UPLOAD_LIMIT_MB", 2048, least=1) * 1024 * 1024

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "WARNING")},
}
