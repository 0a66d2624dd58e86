from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_session_digests'),
    ]

    operations = [
        migrations.AddField(
            model_name='user',
            name='turn',
            field=models.BigIntegerField(default=0, editable=False),
        ),
    ]
