"""What operators ask of acts, which are kept forever, costs the same after a million of them."""

import django.db.models.fields.json
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("acts", "0001_initial")]
    operations = [
        migrations.AddIndex("act", models.Index(fields=["area", "id"], name="acts_act_area")),
        migrations.AddIndex("act", models.Index(fields=["action", "id"], name="acts_act_action")),
        migrations.AddIndex("act", models.Index(fields=["result", "id"], name="acts_act_result")),
        migrations.AddIndex("act", models.Index(fields=["subject"], name="acts_act_subject")),
        migrations.AddIndex("act", models.Index(fields=["by", "id"], name="acts_act_by")),
        migrations.AddIndex(
            "act",
            models.Index(
                django.db.models.fields.json.KT("facts__event_id"), name="acts_act_event"
            ),
        ),
    ]
