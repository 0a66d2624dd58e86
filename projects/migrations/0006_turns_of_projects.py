from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('projects', '0005_disk_of_projects'),
    ]

    operations = [
        migrations.AddField(
            model_name='project',
            name='turn',
            field=models.BigIntegerField(default=0, editable=False),
        ),
    ]
