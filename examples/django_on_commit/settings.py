import os

SECRET_KEY = os.environ.get("SECRET_KEY", "of this example")
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", "shop.sqlite3")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
KAFKA = os.environ.get("KLIFE_BOOTSTRAP_SERVERS", "localhost:9092")
