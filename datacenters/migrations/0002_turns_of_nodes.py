from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('datacenters', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='node',
            name='turn',
            field=models.BigIntegerField(default=0, editable=False),
        ),
    ]
