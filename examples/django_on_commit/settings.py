import os

SECRET_KEY = os.environ.get("SECRET_KEY", "of this example")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PATIENCE_MS = int(os.environ.get("SHOP_PATIENCE_MS", "5000"))  # how long a request waits where Kafka is away
KLIFE = {
    "bootstrap_servers": os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092"),
    "name": "shop",
    "run_in": "thread",  # `runserver` and most WSGI servers run threads; leave this out under gunicorn's gevent workers
    "max_block_ms": PATIENCE_MS,
    "delivery_timeout_ms": PATIENCE_MS,
    "request_timeout_ms": PATIENCE_MS,
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},  # klife's lines, too
}
