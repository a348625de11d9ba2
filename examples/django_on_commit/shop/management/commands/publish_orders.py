from django.core.management.base import BaseCommand

from shop.orders import publish_the_rest


class Command(BaseCommand):
    help = "Publish the orders that were committed and are not known to be in Kafka."

    def handle(self, *args, **options):
        self.stdout.write(f"{publish_the_rest()} orders published")
