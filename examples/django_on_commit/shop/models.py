from django.db import models


class Order(models.Model):
    what = models.TextField()
    published = models.BooleanField(default=False, db_index=True)
