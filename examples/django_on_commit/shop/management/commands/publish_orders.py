from django.core.management.base import BaseCommand

from shop.orders import publish_the_rest


class Command(BaseCommand):
    help = "Publish the orders that were committed and are not known to be in Kafka."

    def handle(self, *args, **options):
        publish_the_rest()
