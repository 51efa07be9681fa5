from django.db import models


class Order(models.Model):
    id = models.BigIntegerField(primary_key=True)
    email = models.EmailField()
