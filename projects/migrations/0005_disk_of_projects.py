from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0004_idle_apps'),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='disk',
            field=models.BigIntegerField(editable=False, null=True),
        ),
    ]
