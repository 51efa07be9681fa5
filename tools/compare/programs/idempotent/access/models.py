from django.db import models


class AccessCode(models.Model):
    order_id = models.BigIntegerField(unique=True)
    email = models.EmailField()
    code = models.CharField(max_length=40)
